# expect: RTE Runtime Error
# fixed: RTE Runtime Error
class Solution:
    pass
