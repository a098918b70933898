# expect: AC AC
print("0")
