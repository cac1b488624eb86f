import MPTCPWire
