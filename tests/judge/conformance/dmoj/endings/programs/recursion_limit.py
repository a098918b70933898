# expect: RTE IR
# fixed: AC AC
import sys
sys.setrecursionlimit(10**6)
print(input())
