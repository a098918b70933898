# expect: AC
print("\n0.333333\n\n1000000 x\n\n", end="")
