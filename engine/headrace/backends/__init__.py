"""What a device can do: read, write, evaluate expressions, count, encode, sort, group, join. One folder a device library."""
