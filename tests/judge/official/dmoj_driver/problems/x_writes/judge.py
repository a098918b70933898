from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        interactor.write(5)
        interactor.write(b" 6")
        interactor.writeln(None)
        return interactor.readln() == b"5b' 6'None"
