# expect: WA Wrong Answer
# fixed: WA Wrong Answer
input()
print(sum(map(int, input().split())), "\n\n0")
