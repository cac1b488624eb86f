import MPTCPCore
