from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        interactor.readtoken()
        b = interactor.readln()
        return b == b"8 9"
