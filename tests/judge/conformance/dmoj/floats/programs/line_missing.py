# expect: WA
print("0.333333\n", end="")
