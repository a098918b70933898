# expect: WA WA
