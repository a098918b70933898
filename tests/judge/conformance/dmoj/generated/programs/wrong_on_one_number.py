# expect: WA WA
# tests: AC WA SKIP WA
n = int(input())
total = sum(int(input()) for _ in range(n))
print(2 * total if n > 1 else 0)
