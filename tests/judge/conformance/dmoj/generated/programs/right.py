# expect: AC AC
# tests: AC AC AC AC
print(2 * sum(int(input()) for _ in range(int(input()))))
