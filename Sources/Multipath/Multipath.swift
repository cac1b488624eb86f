import MPTCPStack
