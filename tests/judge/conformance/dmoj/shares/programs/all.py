# expect: AC AC
print("5")
