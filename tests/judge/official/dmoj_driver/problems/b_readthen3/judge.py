from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        interactor.readtoken()
        b = interactor.read()
        return b == b"8 9\n1\n"
