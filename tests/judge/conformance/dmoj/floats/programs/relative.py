# expect: AC
print("0.333333\n1000900 x\n", end="")
