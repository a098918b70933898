# expect: WA
print("0.333333 1000000 x\n", end="")
