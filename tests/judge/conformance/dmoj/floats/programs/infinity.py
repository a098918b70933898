# expect: WA
print("0.333333\ninf x\n", end="")
