# expect: WA WA
print("")
