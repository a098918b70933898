import sys

numbers = sys.stdin.read().split("\n")
assert numbers == sys.argv[1:], "arguments come both ways"
print(len(numbers), *numbers, sep="\n")
print(2 * sum(map(int, numbers)), file=sys.stderr)
