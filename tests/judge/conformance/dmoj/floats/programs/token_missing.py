# expect: WA
print("0.333333\n1000000\n", end="")
