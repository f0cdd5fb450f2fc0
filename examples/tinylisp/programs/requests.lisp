; A queue of requests, a pool of workers, and answers that come back by a channel in each request.
; Sessions are closures that hold each other through their environments: a logout leaves a ring of garbage.

(define inbox (make-channel))

(define (make-session user)
  (let ((visits 0) (peer '()))
    (define (self message argument)
      (cond ((eq? message 'visit) (set! visits (+ visits 1)) visits)
            ((eq? message 'join) (set! peer argument) ((cadr (list '() peer)) 'joined self) user)
            ((eq? message 'joined) (set! peer argument) user)
            ((eq? message 'peer) (peer 'name '()))
            (else user)))
    self))

(define (handle request)
  (let ((kind (car request)) (number (cadr request)))
    (cond ((eq? kind 'square) (* number number))
          ((eq? kind 'session)
           (let ((a (make-session (list 'user number))) (b (make-session (list 'guest number))))
             (a 'join b)
             (a 'visit '())
             (+ (a 'visit '()) (cadr (b 'peer '())))))
          (else (list 'unknown kind)))))

(define (worker served)
  (let ((request (receive inbox)))
    (if (eq? (car request) 'stop)
        served
        (begin (send (caddr request) (handle request))
               (worker (+ served 1))))))

(define workers (map (lambda (i) (spawn (lambda () (worker 0)))) (iota 3)))

(define (client name kind count)
  (let ((answers (make-channel)))
    (let ask ((i 0) (sum 0))
      (if (= i count)
          (list name sum)
          (begin (send inbox (list kind i answers))
                 (ask (+ i 1) (+ sum (receive answers))))))))

(define clients
  (list (spawn (lambda () (client 'ann 'square 300)))
        (spawn (lambda () (client 'bob 'session 300)))
        (spawn (lambda () (client 'eve 'square 200)))))

(for-each (lambda (task) (print (await task))) clients)
(for-each (lambda (w) (send inbox '(stop 0 0))) workers)
(print (fold + 0 (map await workers)) " requests")
