# expect: CE Compilation Error
# fixed: CE
def f(:
