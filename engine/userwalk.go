package engine

// userWalk finds a file's users in the order of their distinct ids. Near ones are
// walked to, since the next user is next to free; far ones are searched for,
// which decodes a chunk of ids.
type userWalk struct {
	file   *file
	cursor *cursor
	next   int // the user after the one at hand
	name   string
	lo, hi int
	begun  bool
}

// nearUsers is how far it pays to walk.
const nearUsers = 256

func newUserWalk(f *file) userWalk { return userWalk{file: f, cursor: f.cursor()} }

// step goes on to the next user, and reports whether there is one.
func (w *userWalk) step() (ok bool, err error) {
	if w.next == w.file.reader.Users() {
		w.lo, w.hi = w.file.rows(), w.file.rows()
		return false, nil
	}
	w.name, w.lo, w.hi, err = w.cursor.rows.User(w.next)
	w.next++
	return err == nil, err
}

// seek gives the rows [lo, hi) of a user, who comes after those sought before;
// lo == hi if there are none.
func (w *userWalk) seek(user string) (lo, hi int, err error) {
	if !w.begun {
		w.begun = true
		if err := w.jump(user); err != nil {
			return 0, 0, err
		}
	}
	for steps := 0; w.lo < w.hi && w.name < user; steps++ {
		if steps == nearUsers {
			if err := w.jump(user); err != nil {
				return 0, 0, err
			}
			break
		}
		if _, err := w.step(); err != nil {
			return 0, 0, err
		}
	}
	if w.lo < w.hi && w.name == user {
		return w.lo, w.hi, nil
	}
	return 0, 0, nil
}

// jump goes to the first user that is not before this one.
func (w *userWalk) jump(user string) (err error) {
	if w.next, _, err = w.file.reader.FindUser(user); err != nil {
		return err
	}
	_, err = w.step()
	return err
}
