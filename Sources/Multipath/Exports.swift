// What an application needs beside this module's own types: addresses, events and descriptions, options, bytes.
@_exported import MPTCPPolicy
@_exported import struct MPTCPCore.ByteSlice
@_exported import class MPTCPCore.Chunk
@_exported import enum MPTCPCore.CongestionAlgorithm
@_exported import struct MPTCPCore.ConnectionOptions
@_exported import protocol MPTCPCore.CustomScheduler
@_exported import struct MPTCPCore.EndpointConfiguration
@_exported import struct MPTCPCore.EndpointStatistics
@_exported import struct MPTCPCore.ListenerOptions
@_exported import enum MPTCPCore.MultipathMode
@_exported import enum MPTCPCore.Scheduler
@_exported import struct MPTCPCore.SubflowSnapshot
@_exported import struct MPTCPCore.WaitingData
@_exported import enum MPTCPCore.WindowRelief
@_exported import struct MPTCPLink.LinkConfiguration
@_exported import struct MPTCPWire.IPAddress
@_exported import struct MPTCPWire.IPPrefix
@_exported import struct MPTCPWire.Nanoseconds
@_exported import struct MPTCPWire.Port
@_exported import struct MPTCPWire.TransportAddress
