# expect: WA Wrong Answer
# fixed: WA Wrong Answer
class Yes(list):
    def __eq__(self, other): return True
class Solution:
    def solve(self, numbers: List[int], word: str):
        return Yes()
