# expect: WA Wrong Answer
# fixed: WA Wrong Answer
# tests: AC WA
print(3)
