# expect: WA
print("0.3345\n1000000 x\n", end="")
