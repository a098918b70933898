import sys

a = sys.stdin.read()
print(a, sys.argv[1:])
print(a, sys.argv[1:], file=sys.stderr)
