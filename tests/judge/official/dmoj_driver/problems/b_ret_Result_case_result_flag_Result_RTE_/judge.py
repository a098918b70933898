from dmoj.graders.interactive import InteractiveGrader
from dmoj.result import Result


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        interactor.readln()
        return Result(case, result_flag=Result.RTE)
