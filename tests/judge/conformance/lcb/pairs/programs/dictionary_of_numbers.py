# expect: WA Wrong Answer
# fixed: WA Wrong Answer
class Solution:
    def solve(self, n): return {1: 2}
