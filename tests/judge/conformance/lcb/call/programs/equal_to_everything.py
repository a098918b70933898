# expect: WA Wrong Answer
# fixed: WA Wrong Answer
class Yes:
    def __eq__(self, other): return True
    __hash__ = None
class Solution:
    def solve(self, numbers: List[int], word: str):
        return Yes()
