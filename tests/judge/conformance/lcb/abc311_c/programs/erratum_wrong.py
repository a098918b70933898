# expect: WA Wrong Answer
# fixed: SKIP
print(2)
