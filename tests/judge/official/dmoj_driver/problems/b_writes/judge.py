from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        interactor.write(5)
        interactor.write(b" 6")
        interactor.write(" x\n")
        interactor.writeln(None)
        interactor.writeln([1])
        return interactor.readln() == b"5 6 x|None|[1]"
