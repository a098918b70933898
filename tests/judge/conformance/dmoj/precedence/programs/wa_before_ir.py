# expect: WA WA
# tests: WA WA WA RTE
x = int(input())
if x == 4: 1 // 0
print(0)
