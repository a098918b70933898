# expect: RTE Runtime Error
# fixed: AC Passed
from __future__ import annotations
input()
print(sum(map(int, input().split())))
