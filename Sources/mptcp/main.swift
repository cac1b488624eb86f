import Multipath

print("mptcp")
