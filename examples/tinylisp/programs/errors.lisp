(car 1);car of what is no pair
(print (undefined-name));undefined-name is not defined
(define (f x) x) (f 1 2);f is called with 2 arguments instead of 1
(+ 1 'a);a number is wanted
(+ 9223372036854775807 1);the sum is too large
(vector-ref (make-vector 2 0) 2);the vector is not as long as that
(define (deep n) (+ 1 (deep n))) (deep 1);the stack is too deep
(define car 1);car is built in
(set! nobody 1);nobody is not defined
(print (let ((x)) x));a binding is a name and a value
(1 2);what is called is no procedure
(error "no luck" 'with "this" 7);no luck with "this" 7
(receive (make-channel));every task waits
(await (spawn (lambda () (cdr '()))));the task has failed
(spawn (lambda () (receive (make-channel))));1 tasks wait for ever
(let ((x 1) (y (list 1 (cons 2 (quotient 3 0))))) x);division by zero
(print 1;the text ends inside of a datum
(print 1)) (print 2);a parenthesis closes nothing
(apply + 1 2);apply: the last argument is no list
(cons 1);cons is called with 1 arguments
