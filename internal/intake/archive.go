package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// maxDirectory bounds the list of members that a zip makes us hold.
const maxDirectory = 64 << 20

// zip reads a zip's members in the order of its directory.
func (r *reader) zip(f *file, archive io.ReadCloser, a *allowance) (*fileEnd, error) {
	in, ok := archive.(*os.File)
	if !ok {
		return r.refuse(f, nested, ""), nil
	}
	if directorySize(in, f.size) > maxDirectory {
		return r.refuse(f, hugeArchive, ""), nil
	}
	z, err := zip.NewReader(in, f.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return r.refuse(f, damaged, errText(err)), nil
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader)
	z.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)))
	base, done := r.at.Stored, int64(0)
	r.stored = func() int64 { return base + min(done, f.size) }
	for _, m := range z.File {
		done += int64(min(m.CompressedSize64, uint64(f.size)))
		if m.Mode().IsDir() {
			continue
		}
		member := r.member(f, m.Name, int64(min(m.UncompressedSize64, 1<<62)))
		member.modTime = m.Modified
		member.open = m.Open
		if m.Flags&1 != 0 {
			member.problem = encrypted
		} else if !m.Mode().IsRegular() {
			member.problem = notRegular
		}
		if err := r.visitMember(member, a); err != nil {
			return nil, err
		}
	}
	return &fileEnd{format: zipFile}, nil
}

// directorySize reads how large a zip says its list of members is (APPNOTE.TXT,
// 4.3.16), before anything is made of it. A size that does not fit the field
// counts as the whole file's.
func directorySize(in io.ReaderAt, size int64) int64 {
	tail := make([]byte, min(size, 22+65535))
	if _, err := in.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return 0
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail) < i+22 {
		return 0
	}
	n := binary.LittleEndian.Uint32(tail[i+12:])
	if n == 1<<32-1 {
		return size
	}
	return int64(n)
}

// tar reads a tar's members as they come.
func (r *reader) tar(f *file, u *unpacked) (*fileEnd, error) {
	t := tar.NewReader(u)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return &fileEnd{format: tarFile}, nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return r.refuse(f, damaged, errText(err)), nil
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		member := r.member(f, h.Name, h.Size)
		member.modTime = h.ModTime
		member.open = func() (io.ReadCloser, error) { return io.NopCloser(t), nil }
		if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink {
			member.problem = symlink
		} else if h.Typeflag != tar.TypeReg {
			member.problem = notRegular
		}
		if err := r.visitMember(member, nil); err != nil {
			return nil, err
		}
	}
}

// member makes a file of an archive's member. Its name may hold anything and is
// used for folders and the report alone, never to open something.
func (r *reader) member(archive *file, name string, size int64) *file {
	name = strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, "\\", "/")), "/")
	f := &file{path: path.Join(archive.path, name), folder: r.mboxFolder(archive), size: size}
	dir, _ := path.Split(name)
	levels := strings.FieldsFunc(dir, func(c rune) bool { return c == '/' })
	if n := len(levels) - 1; n >= 0 && (levels[n] == "cur" || levels[n] == "new") {
		f.maildir = placeOf(levels[n])
		levels = levels[:n]
	}
	for _, level := range levels {
		f.folder = subfolder(f.folder, level)
	}
	return f
}

// visitMember reads a member, or passes over one that is settled. What a member
// unpacks to counts against a; a tar's is counted as the tar is unpacked.
func (r *reader) visitMember(f *file, a *allowance) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.at.File == r.from.File && r.at.Member < r.from.Member {
		r.at.Member++
		return nil
	}
	end, err := r.memberContent(f, a)
	if err != nil {
		return err
	}
	r.at.Member++
	r.at.Offset = 0
	return r.put(&item{file: end, remark: end.remark})
}

func (r *reader) memberContent(f *file, a *allowance) (*fileEnd, error) {
	if f.problem != "" {
		return r.refuse(f, f.problem, ""), nil
	}
	in, err := f.open()
	if err != nil {
		return r.refuse(f, damaged, errText(err)), nil
	}
	defer in.Close()
	u, err := unpack(&measured{src: in, allow: a}, a)
	if err != nil {
		return r.refuse(f, damaged, errText(err)), nil
	}
	defer u.close()
	return r.content(f, u, a, nil)
}
