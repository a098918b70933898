# expect: AC AC
print("2")
