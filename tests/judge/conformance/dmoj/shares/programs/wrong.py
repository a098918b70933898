# expect: WA WA
print("11")
