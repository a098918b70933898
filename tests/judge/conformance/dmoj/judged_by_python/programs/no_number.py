# expect: WA WA
print("one")
