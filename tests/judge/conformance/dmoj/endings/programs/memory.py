# expect: RTE IR
# fixed: MLE MLE
kept = [bytearray(1 << 24) for _ in range(200)]
print(1)
