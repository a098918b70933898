# expect: RTE Runtime Error
# fixed: AC Passed
import sys
lines = [line for line in sys.stdin]
print(sum(map(int, lines[1].split())))
