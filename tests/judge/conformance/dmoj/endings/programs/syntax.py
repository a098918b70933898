# expect: CE CE
def f(:
