# expect: RTE IR
print(1)
raise MemoryError
