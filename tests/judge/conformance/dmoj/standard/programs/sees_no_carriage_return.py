# expect: AC
import sys
line = sys.stdin.readline()
assert line.endswith("\n") and "\r" not in line, repr(line)
a, b = map(int, line.split())
print(a + b, a * b)
print(b - a if b < 11 else a - b)
