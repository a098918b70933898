def check(process_output, judge_output, **kw):
    return False
