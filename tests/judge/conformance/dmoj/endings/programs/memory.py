# expect: RTE IR
# fixed: MLE MLE
size = 1 << 31  # at once: piece by piece it depends on the machine whether memory or address space ends first
kept = b"x" * size
print(1)
